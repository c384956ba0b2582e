package import Model

/// Every driver of this family.
package let plugDrivers: [any DeviceDriver.Type] = [
    Tasmota.self,
    MQTTJSON.self,
    SenML.self,
    InfluxLine.self,
    Homie.self,
    HomeAssistant.self,
]
