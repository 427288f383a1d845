"""What a run has of this machine: devices, cores, its place in the queue, and how busy and healthy the machine is."""
