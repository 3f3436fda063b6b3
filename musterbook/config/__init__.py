"""The settings of an installation and its surroundings: folders, keys, logs, mail, processes."""
