"""The plugin's backbones beside those of other libraries, in turns on one machine."""
