"""What our templates may say beyond what Django's can."""
