package import Model

/// The languages of presses, extruders and shredders.
package let deskFactoryDrivers: [any DeviceDriver.Type] = [LineJSON.self, MQTTChoice.self]
