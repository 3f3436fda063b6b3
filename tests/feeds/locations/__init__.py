"""The locations of feeds: folders, SFTP and HTTPS, on real servers."""
