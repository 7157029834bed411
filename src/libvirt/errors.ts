import { errorCodeNames, errorDomainNames, errorLevelNames } from './protocol/error-numbers.ts'

type Values<T> = T[keyof T]
/** A name of virErrorNumber, as `VIR_ERR_NO_DOMAIN`; a number newer than this library is `VIR_ERR_UNKNOWN`. */
export type ErrorCode = Values<typeof errorCodeNames> | 'VIR_ERR_UNKNOWN'
/** A name of virErrorDomain: the part of libvirt that raised the error, as `VIR_FROM_QEMU`. */
export type ErrorDomain = Values<typeof errorDomainNames> | 'VIR_FROM_UNKNOWN'
/** A name of virErrorLevel. */
export type ErrorLevel = Values<typeof errorLevelNames>

/** What a libvirt error consists of, by number (virError of include/libvirt/virterror.h). */
export interface LibvirtErrorFields {
  readonly code: number
  readonly domain: number
  readonly level: number
  readonly message: string
  readonly str1?: string | null
  readonly str2?: string | null
  readonly str3?: string | null
  readonly int1?: number
  readonly int2?: number
}

/**
 * What libvirt answered instead of a result; also, with the codes that libvirt's own client uses for it, what went
 * wrong with one call on this side: a time limit (`VIR_ERR_OPERATION_TIMEOUT`), an argument that cannot be sent
 * (`VIR_ERR_INVALID_ARG`), an answer that cannot be understood (`VIR_ERR_RPC`), each from `VIR_FROM_RPC`.
 */
export class LibvirtError extends Error {
  override readonly name = 'LibvirtError'
  readonly code: ErrorCode
  readonly codeNumber: number
  readonly domain: ErrorDomain
  readonly domainNumber: number
  readonly level: ErrorLevel
  readonly levelNumber: number
  /** Details by the kind of error; often the object's name. */
  readonly str1: string | null
  readonly str2: string | null
  readonly str3: string | null
  readonly int1: number
  readonly int2: number

  constructor(fields: LibvirtErrorFields, options?: ErrorOptions) {
    super(fields.message, options)
    this.code = (errorCodeNames as Readonly<Record<number, ErrorCode>>)[fields.code] ?? 'VIR_ERR_UNKNOWN'
    this.codeNumber = fields.code
    this.domain = (errorDomainNames as Readonly<Record<number, ErrorDomain>>)[fields.domain] ?? 'VIR_FROM_UNKNOWN'
    this.domainNumber = fields.domain
    this.level = (errorLevelNames as Readonly<Record<number, ErrorLevel>>)[fields.level] ?? 'VIR_ERR_ERROR'
    this.levelNumber = fields.level
    this.str1 = fields.str1 ?? null
    this.str2 = fields.str2 ?? null
    this.str3 = fields.str3 ?? null
    this.int1 = fields.int1 ?? 0
    this.int2 = fields.int2 ?? 0
  }
}

const clientErrorCodes = { invalidArgument: 8, operationFailed: 9, rpc: 39, timeout: 68, overflow: 82 } as const
const domainRpc = 7
const levelError = 2

/** An error raised on this side of the connection. */
export function clientError(
  kind: keyof typeof clientErrorCodes,
  message: string,
  options?: ErrorOptions,
): LibvirtError {
  return new LibvirtError({ code: clientErrorCodes[kind], domain: domainRpc, level: levelError, message }, options)
}

/**
 * Why no connection could be opened:
 * - `uri-unsupported`: not a URI that this library speaks
 * - `socket-missing`: no daemon listens there (ENOENT)
 * - `connection-refused`: the socket exists but no daemon serves it (ECONNREFUSED)
 * - `permission-denied`: this user may not open the socket (EACCES, EPERM)
 * - `daemon-silent`: connected, but no answer within the time limit
 * - `authentication-refused`: polkit said no, or the daemon wants a method that this library lacks
 * - `open-refused`: the daemon has no driver for the URI, or the driver refuses it
 * - `connection-failed`: anything else, as a daemon that hangs up or talks another protocol
 */
export type ConnectFailure =
  | 'uri-unsupported'
  | 'socket-missing'
  | 'connection-refused'
  | 'permission-denied'
  | 'daemon-silent'
  | 'authentication-refused'
  | 'open-refused'
  | 'connection-failed'

/** No connection could be opened. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError'
  readonly reason: ConnectFailure

  constructor(reason: ConnectFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/**
 * Why a connection ended:
 * - `closed`: `close()` was called here
 * - `daemon-closed`: the daemon, or what carried the connection, hung up
 * - `daemon-silent`: it answered no keep-alive within the set time
 * - `protocol-error`: it sent bytes that are no libvirt message, or a reply to nothing
 */
export type ConnectionLoss = 'closed' | 'daemon-closed' | 'daemon-silent' | 'protocol-error'

/** The connection ended: what was under way fails with this, and so does every later call. */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError'
  readonly reason: ConnectionLoss

  constructor(reason: ConnectionLoss, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** An error of this code. */
export type ErrorWith<C extends ErrorCode> = LibvirtError & { readonly code: C }

/** Whether libvirt answered with this code. */
export function hasCode<C extends ErrorCode>(error: unknown, code: C): error is ErrorWith<C> {
  return error instanceof LibvirtError && error.code === code
}

/** No such domain. */
export function isDomainNotFound(error: unknown): error is ErrorWith<'VIR_ERR_NO_DOMAIN'> {
  return hasCode(error, 'VIR_ERR_NO_DOMAIN')
}

/** No such network. */
export function isNetworkNotFound(error: unknown): error is ErrorWith<'VIR_ERR_NO_NETWORK'> {
  return hasCode(error, 'VIR_ERR_NO_NETWORK')
}

/** No such storage pool. */
export function isStoragePoolNotFound(error: unknown): error is ErrorWith<'VIR_ERR_NO_STORAGE_POOL'> {
  return hasCode(error, 'VIR_ERR_NO_STORAGE_POOL')
}

/** No such storage volume. */
export function isStorageVolumeNotFound(error: unknown): error is ErrorWith<'VIR_ERR_NO_STORAGE_VOL'> {
  return hasCode(error, 'VIR_ERR_NO_STORAGE_VOL')
}

/** No such snapshot. */
export function isSnapshotNotFound(error: unknown): error is ErrorWith<'VIR_ERR_NO_DOMAIN_SNAPSHOT'> {
  return hasCode(error, 'VIR_ERR_NO_DOMAIN_SNAPSHOT')
}

/** The domain has no metadata in that namespace. */
export function isMetadataNotFound(error: unknown): error is ErrorWith<'VIR_ERR_NO_DOMAIN_METADATA'> {
  return hasCode(error, 'VIR_ERR_NO_DOMAIN_METADATA')
}

/** The device to detach or to change is not there. */
export function isDeviceNotFound(error: unknown): error is ErrorWith<'VIR_ERR_DEVICE_MISSING'> {
  return hasCode(error, 'VIR_ERR_DEVICE_MISSING')
}

/** Not possible in the domain's present state, as starting one that runs. */
export function isOperationInvalid(error: unknown): error is ErrorWith<'VIR_ERR_OPERATION_INVALID'> {
  return hasCode(error, 'VIR_ERR_OPERATION_INVALID')
}

/** The hypervisor or its driver does not offer this. */
export function isUnsupported(
  error: unknown,
): error is ErrorWith<
  'VIR_ERR_NO_SUPPORT' | 'VIR_ERR_OPERATION_UNSUPPORTED' | 'VIR_ERR_CONFIG_UNSUPPORTED' | 'VIR_ERR_ARGUMENT_UNSUPPORTED'
> {
  return (
    hasCode(error, 'VIR_ERR_NO_SUPPORT') ||
    hasCode(error, 'VIR_ERR_OPERATION_UNSUPPORTED') ||
    hasCode(error, 'VIR_ERR_CONFIG_UNSUPPORTED') ||
    hasCode(error, 'VIR_ERR_ARGUMENT_UNSUPPORTED')
  )
}

/** The XML is malformed, or refused by libvirt's schema. */
export function isXmlInvalid(error: unknown): error is ErrorWith<'VIR_ERR_XML_ERROR' | 'VIR_ERR_XML_INVALID_SCHEMA'> {
  return hasCode(error, 'VIR_ERR_XML_ERROR') || hasCode(error, 'VIR_ERR_XML_INVALID_SCHEMA')
}

/** The call took longer than its time limit, here or in libvirt. */
export function isTimeout(error: unknown): error is ErrorWith<'VIR_ERR_OPERATION_TIMEOUT'> {
  return hasCode(error, 'VIR_ERR_OPERATION_TIMEOUT')
}
