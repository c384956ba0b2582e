package import Model

/// Every driver of this family.
package let plugDrivers: [any DeviceDriver.Type] = [
    Tasmota.self,
    Shelly.self,
    MQTTJSON.self,
    ShellyGen1.self,
    SenML.self,
    InfluxLine.self,
    Homie.self,
    HomeAssistant.self,
    SparkplugB.self,
    Zigbee2MQTT.self,
    ESPHome.self,
]
