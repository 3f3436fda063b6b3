"""An invented agency and two nights of its user file, for trying Musterbook out."""
