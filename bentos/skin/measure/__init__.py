"""What can be measured on a crop without learned weights."""
