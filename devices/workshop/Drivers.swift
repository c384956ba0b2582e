package import Model

/// The languages of CNC mills, engravers, lasers, scales and access readers.
package let workshopDrivers: [any DeviceDriver.Type] = [Grbl.self, Scale.self, AccessReader.self]
