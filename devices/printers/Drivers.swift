package import Model

/// Every driver of this family.
package let printerDrivers: [any DeviceDriver.Type] = [
    OctoPrint.self,
    Bambu.self,
    Moonraker.self,
    PrusaLink.self,
    Marlin.self,
]
