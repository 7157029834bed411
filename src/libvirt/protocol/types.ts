import {
  array,
  bool,
  counter,
  hyper,
  int,
  nullable,
  opaque,
  string,
  struct,
  ucounter,
  uhyper,
  uint,
  uuid,
  type Xdr,
  XdrError,
} from './xdr.ts'

/**
 * The structs that more than one procedure uses, as libvirt's src/remote/remote_protocol.x has them. Objects are plain
 * data: they hold nothing open, and stay valid as long as what they name exists.
 */

/** A domain (virtual machine). `id` is its number while it runs, else -1. */
export interface Domain {
  readonly name: string
  readonly uuid: string
  readonly id: number
}

export interface Network {
  readonly name: string
  readonly uuid: string
}

export interface StoragePool {
  readonly name: string
  readonly uuid: string
}

/** A storage volume; `key` is unique on the host (for a file: its path). */
export interface StorageVolume {
  readonly pool: string
  readonly name: string
  readonly key: string
}

export interface NodeDevice {
  readonly name: string
}

export interface DomainSnapshot {
  readonly name: string
  readonly domain: Domain
}

export const domain: Xdr<Domain> = struct<Domain>({ name: string, uuid, id: int })
export const network: Xdr<Network> = struct<Network>({ name: string, uuid })
export const storagePool: Xdr<StoragePool> = struct<StoragePool>({ name: string, uuid })
export const storageVolume: Xdr<StorageVolume> = struct<StorageVolume>({ pool: string, name: string, key: string })
export const nodeDevice: Xdr<NodeDevice> = struct<NodeDevice>({ name: string })
export const snapshot: Xdr<DomainSnapshot> = struct<DomainSnapshot>({ name: string, domain })

export const remoteError = struct({
  code: int,
  domain: int,
  message: nullable(string),
  level: int,
  dom: nullable(domain),
  str1: nullable(string),
  str2: nullable(string),
  str3: nullable(string),
  int1: int,
  int2: int,
  net: nullable(network),
})

/** REMOTE_CPUMAP_MAX: the longest CPU map, in bytes: one bit a CPU, the lowest first. */
export const cpuMap = opaque(2048)
/** REMOTE_CPUMAPS_MAX: the maps of all virtual CPUs. */
export const cpuMaps = opaque(8_388_608)

/** A virTypedParameter: a named value that says its own type. */
export type TypedParameter =
  | { readonly field: string; readonly type: 'int' | 'uint' | 'double'; readonly value: number }
  | { readonly field: string; readonly type: 'llong' | 'ullong'; readonly value: bigint }
  | { readonly field: string; readonly type: 'boolean'; readonly value: boolean }
  | { readonly field: string; readonly type: 'string'; readonly value: string }

/** virTypedParameterType, from 1 on. */
const typedParameterTypes = ['int', 'uint', 'llong', 'ullong', 'double', 'boolean', 'string'] as const

const double: Xdr<number> = {
  write: (writer, value) => writer.double(value),
  read: (reader) => reader.double(),
}

export const typedParameter: Xdr<TypedParameter> = {
  write: (writer, parameter) => {
    string.write(writer, parameter.field)
    writer.int32(typedParameterTypes.indexOf(parameter.type) + 1)
    switch (parameter.type) {
      case 'int':
        return int.write(writer, parameter.value)
      case 'uint':
        return uint.write(writer, parameter.value)
      case 'llong':
        return hyper.write(writer, parameter.value)
      case 'ullong':
        return uhyper.write(writer, parameter.value)
      case 'double':
        return double.write(writer, parameter.value)
      case 'boolean':
        return bool.write(writer, parameter.value)
      case 'string':
        return string.write(writer, parameter.value)
    }
  },
  read: (reader) => {
    const field = string.read(reader)
    const number = reader.int32()
    const type = typedParameterTypes[number - 1]
    switch (type) {
      case 'int':
        return { field, type, value: int.read(reader) }
      case 'uint':
        return { field, type, value: uint.read(reader) }
      case 'llong':
        return { field, type, value: hyper.read(reader) }
      case 'ullong':
        return { field, type, value: uhyper.read(reader) }
      case 'double':
        return { field, type, value: double.read(reader) }
      case 'boolean':
        return { field, type, value: bool.read(reader) }
      case 'string':
        return { field, type, value: string.read(reader) }
      default:
        throw new XdrError(`${number} is no type of a typed parameter`)
    }
  },
}

/** virVcpuInfo */
export const vcpuInfo = struct({ number: uint, state: int, cpuTime: ucounter, cpu: int })

export const ipAddress = struct({ type: int, address: string, prefix: uint })
export const domainInterface = struct({ name: string, hwaddr: nullable(string), addresses: array(ipAddress, 2048) })

export const dhcpLease = struct({
  iface: string,
  expiryTime: counter,
  type: int,
  mac: nullable(string),
  iaid: nullable(string),
  ipAddress: string,
  prefix: uint,
  hostname: nullable(string),
  clientId: nullable(string),
})
