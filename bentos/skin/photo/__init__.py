"""From bytes to upright pixels, the face, its 512×512 crop, zones, skin and quality."""
