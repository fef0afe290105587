"""From a mail address to the URL of EWS (Exchange documentation, "Autodiscover for Exchange").

search   what to ask next, and what an answer means for that: no input or output
lookup   asks
locator  remembers what was found
"""
