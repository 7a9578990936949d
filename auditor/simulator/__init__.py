"""An Azure estate on loopback with seeded faults and their ground truth; imports none of the tool's I/O."""
