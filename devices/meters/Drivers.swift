// drivers
