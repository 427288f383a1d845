"""Commands about machines that are lent: an allocation as a lab."""
