"""What research costs, and what it may: tokens and dollars as told and as read, stop rules, a subscription's window."""
