/// The beginning of a Python program that plays units on a bus with pymodbus: the gateway opens `gateway_name`, the units
/// answer on `units_name`, and between the two pseudo-terminals every byte is carried on.
let modbusWires = """
    import asyncio, os, struct, sys, threading, time, tty
    from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext, ModbusSparseDataBlock
    from pymodbus.server import StartAsyncSerialServer
    from pymodbus.transaction import ModbusRtuFramer

    def pair():
        master, slave = os.openpty()
        tty.setraw(slave)
        return master, os.ttyname(slave), slave

    gateway, gateway_name, keep1 = pair()
    units, units_name, keep2 = pair()

    def copy(source, target):
        while True:
            try:
                data = os.read(source, 256)
            except OSError:
                return
            os.write(target, data)

    for ends in ((gateway, units), (units, gateway)):
        threading.Thread(target=copy, args=ends, daemon=True).start()


    """
