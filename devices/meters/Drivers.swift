package import Model

/// The languages of meters and controllers, on a bus or a line of their own.
package let meterDrivers: [any DeviceDriver.Type] = [ModbusRTU.self, DSMR.self, SML.self, IEC62056.self, LineText.self]
