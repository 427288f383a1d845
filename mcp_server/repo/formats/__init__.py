"""What git keeps on the disk, as bytes."""
