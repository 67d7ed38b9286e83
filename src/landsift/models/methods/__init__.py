"""Published methods of remote-sensing image-text retrieval, one file each, composed from shared blocks."""
