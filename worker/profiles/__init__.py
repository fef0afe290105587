"""The Email Router's vocabulary: profiles, mailboxes, credentials; how an address finds the way its mail goes."""
