"""Rate and distortion of edgeae and of its peers: real files, measured and compared."""
