"""The sandbox Exchange: an EWS server in memory, for the demo, the tests and the benchmarks.

It is a witness, so it shares nothing with the client: requests are read with lxml, answers are written by hand, and
`sent` tells what really left. `server.Sandbox` is the way in; `exchange.Exchange` is the server without HTTP.
"""
