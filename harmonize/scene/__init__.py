"""What is pasted where: element, mask, placement, scene."""
