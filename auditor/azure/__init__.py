"""Azure: the only room that imports `azure.*`. `estate.open_azure` is its front door."""
