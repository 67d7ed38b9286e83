"""How the encoders that ship with Landsift are made; needs the ``train`` extra and the data sets."""
