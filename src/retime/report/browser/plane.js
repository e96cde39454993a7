// plane
