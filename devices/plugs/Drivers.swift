package import Model

/// Every driver of this family.
package let plugDrivers: [any DeviceDriver.Type] = [
    Tasmota.self,
    Shelly.self,
    ShellyGen1.self,
]
