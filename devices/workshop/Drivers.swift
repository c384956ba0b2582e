package import Model

/// The languages of CNC mills, engravers and lasers.
package let workshopDrivers: [any DeviceDriver.Type] = [Grbl.self, Scale.self]
