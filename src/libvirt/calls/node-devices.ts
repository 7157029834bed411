import type { CallOptions } from '../call-options.ts'
import { procedures } from '../protocol/procedures.ts'
import type { NodeDevice } from '../protocol/types.ts'
import type { Rpc } from '../rpc.ts'
import { flagBits } from './flags.ts'

/** virConnectListAllNodeDeviceFlags: kinds of devices; all when none is chosen. */
export interface ListNodeDevicesOptions extends CallOptions {
  readonly system?: boolean
  readonly pci?: boolean
  readonly usb?: boolean
  readonly net?: boolean
  readonly storage?: boolean
}
const listBits = { system: 1, pci: 2, usb: 4, net: 16, storage: 256 }

/** The host's devices, as network cards and what PCI passthrough takes. */
export function nodeDeviceCalls({ call }: Rpc) {
  return {
    listAllNodeDevices: async (options: ListNodeDevicesOptions = {}): Promise<readonly NodeDevice[]> => {
      const args = { needResults: true, flags: flagBits(options, listBits) }
      return (await call(procedures.CONNECT_LIST_ALL_NODE_DEVICES, args, options)).devices
    },
    lookupNodeDevice: async (name: string, options?: CallOptions): Promise<NodeDevice> =>
      (await call(procedures.NODE_DEVICE_LOOKUP_BY_NAME, { name }, options)).device,
    nodeDeviceXml: async ({ name }: NodeDevice, options?: CallOptions): Promise<string> =>
      (await call(procedures.NODE_DEVICE_GET_XML_DESC, { name, flags: 0 }, options)).xml,
    /** The name of the device that this one is part of; null at the top. */
    nodeDeviceParent: async ({ name }: NodeDevice, options?: CallOptions): Promise<string | null> =>
      (await call(procedures.NODE_DEVICE_GET_PARENT, { name }, options)).parentName,
    /** Takes a device from the host, so that a domain can have it. */
    detachNodeDevice: async (
      { name }: NodeDevice,
      options?: CallOptions & { readonly driver?: string },
    ): Promise<void> => {
      const args = { name, driver: options?.driver ?? null, flags: 0 }
      return call(procedures.NODE_DEVICE_DETACH_FLAGS, args, options)
    },
    /** Gives a device back to the host. */
    reattachNodeDevice: async ({ name }: NodeDevice, options?: CallOptions): Promise<void> =>
      call(procedures.NODE_DEVICE_RE_ATTACH, { name }, options),
  }
}
