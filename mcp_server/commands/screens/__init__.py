"""What commands show a person: a reply as a page, the demonstration and a loop as they go on."""
