import type { Duplex } from 'node:stream'
import type { CallOptions } from '../call-options.ts'
import { nameOf, storagePoolStates, storageVolumeTypes } from '../protocol/enums.ts'
import { procedures } from '../protocol/procedures.ts'
import type { StoragePool, StorageVolume } from '../protocol/types.ts'
import type { Rpc } from '../rpc.ts'
import { flagBits } from './flags.ts'

/** virStoragePoolBuildFlags */
export interface BuildPoolOptions extends CallOptions {
  readonly overwrite?: boolean
  readonly noOverwrite?: boolean
}
const buildBits = { noOverwrite: 4, overwrite: 8 }
/** virStoragePoolCreateFlags: with `build`, the pool's folder or the like is made first. */
const createBits = { build: 1 }

/** virStorageVolCreateFlags */
export interface CreateVolumeOptions extends CallOptions {
  readonly preallocateMetadata?: boolean
  readonly reflink?: boolean
}
const createVolumeBits = { preallocateMetadata: 1, reflink: 2 }

/** virStorageVolResizeFlags */
export interface ResizeVolumeOptions extends CallOptions {
  readonly allocate?: boolean
  /** The size is what to add. */
  readonly delta?: boolean
  readonly shrink?: boolean
}
const resizeBits = { allocate: 1, delta: 2, shrink: 4 }

/** Which bytes of a volume; to its end when no length is given. */
export interface VolumeRange {
  readonly offset?: number
  readonly length?: number
}

/** Storage pools and their volumes. Sizes are bytes. */
export function storageCalls({ call, openStream }: Rpc) {
  return {
    listAllStoragePools: async (
      options?: CallOptions & { readonly inactive?: boolean; readonly active?: boolean },
    ): Promise<readonly StoragePool[]> => {
      const args = { needResults: true, flags: flagBits(options, { inactive: 1, active: 2 }) }
      return (await call(procedures.CONNECT_LIST_ALL_STORAGE_POOLS, args, options)).pools
    },
    /** @throws {LibvirtError} see isStoragePoolNotFound */
    lookupStoragePool: async (name: string, options?: CallOptions): Promise<StoragePool> =>
      (await call(procedures.STORAGE_POOL_LOOKUP_BY_NAME, { name }, options)).pool,
    defineStoragePool: async (xml: string, options?: CallOptions): Promise<StoragePool> =>
      (await call(procedures.STORAGE_POOL_DEFINE_XML, { xml, flags: 0 }, options)).pool,
    /** Starts a transient pool. */
    createTransientStoragePool: async (
      xml: string,
      options?: CallOptions & { readonly build?: boolean },
    ): Promise<StoragePool> =>
      (await call(procedures.STORAGE_POOL_CREATE_XML, { xml, flags: flagBits(options, createBits) }, options)).pool,
    /** Starts a defined pool. */
    createStoragePool: async (pool: StoragePool, options?: CallOptions & { readonly build?: boolean }): Promise<void> =>
      call(procedures.STORAGE_POOL_CREATE, { pool, flags: flagBits(options, createBits) }, options),
    /** Makes what holds the pool, as its folder. */
    buildStoragePool: async (pool: StoragePool, options?: BuildPoolOptions): Promise<void> =>
      call(procedures.STORAGE_POOL_BUILD, { pool, flags: flagBits(options, buildBits) }, options),
    /** Stops a pool; its data stays. */
    destroyStoragePool: async (pool: StoragePool, options?: CallOptions): Promise<void> =>
      call(procedures.STORAGE_POOL_DESTROY, { pool }, options),
    /** Deletes what holds the pool, as its folder. */
    deleteStoragePool: async (pool: StoragePool, options?: CallOptions): Promise<void> =>
      call(procedures.STORAGE_POOL_DELETE, { pool, flags: 0 }, options),
    undefineStoragePool: async (pool: StoragePool, options?: CallOptions): Promise<void> =>
      call(procedures.STORAGE_POOL_UNDEFINE, { pool }, options),
    /** Makes libvirt look which volumes there are. */
    refreshStoragePool: async (pool: StoragePool, options?: CallOptions): Promise<void> =>
      call(procedures.STORAGE_POOL_REFRESH, { pool, flags: 0 }, options),
    storagePoolXml: async (
      pool: StoragePool,
      options?: CallOptions & { readonly inactive?: boolean },
    ): Promise<string> => {
      const args = { pool, flags: flagBits(options, { inactive: 1 }) }
      return (await call(procedures.STORAGE_POOL_GET_XML_DESC, args, options)).xml
    },
    storagePoolInfo: async (pool: StoragePool, options?: CallOptions) => {
      const info = await call(procedures.STORAGE_POOL_GET_INFO, { pool }, options)
      return { ...info, state: nameOf(storagePoolStates, info.state) }
    },
    isStoragePoolActive: async (pool: StoragePool, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.STORAGE_POOL_IS_ACTIVE, { pool }, options)).value,
    storagePoolAutostart: async (pool: StoragePool, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.STORAGE_POOL_GET_AUTOSTART, { pool }, options)).value,
    setStoragePoolAutostart: async (pool: StoragePool, autostart: boolean, options?: CallOptions): Promise<void> =>
      call(procedures.STORAGE_POOL_SET_AUTOSTART, { pool, autostart }, options),
    listVolumes: async (pool: StoragePool, options?: CallOptions): Promise<readonly StorageVolume[]> => {
      const args = { pool, needResults: true, flags: 0 }
      return (await call(procedures.STORAGE_POOL_LIST_ALL_VOLUMES, args, options)).volumes
    },
    /** @throws {LibvirtError} see isStorageVolumeNotFound */
    lookupVolume: async (pool: StoragePool, name: string, options?: CallOptions): Promise<StorageVolume> =>
      (await call(procedures.STORAGE_VOL_LOOKUP_BY_NAME, { pool, name }, options)).volume,
    /** @throws {LibvirtError} see isStorageVolumeNotFound */
    lookupVolumeByPath: async (path: string, options?: CallOptions): Promise<StorageVolume> =>
      (await call(procedures.STORAGE_VOL_LOOKUP_BY_PATH, { path }, options)).volume,
    createVolume: async (pool: StoragePool, xml: string, options?: CreateVolumeOptions): Promise<StorageVolume> => {
      const args = { pool, xml, flags: flagBits(options, createVolumeBits) }
      return (await call(procedures.STORAGE_VOL_CREATE_XML, args, options)).volume
    },
    /** A copy of `source`. */
    cloneVolume: async (
      pool: StoragePool,
      xml: string,
      source: StorageVolume,
      options?: CreateVolumeOptions,
    ): Promise<StorageVolume> => {
      const args = { pool, xml, source, flags: flagBits(options, createVolumeBits) }
      return (await call(procedures.STORAGE_VOL_CREATE_XML_FROM, args, options)).volume
    },
    deleteVolume: async (volume: StorageVolume, options?: CallOptions): Promise<void> =>
      call(procedures.STORAGE_VOL_DELETE, { volume, flags: 0 }, options),
    resizeVolume: async (volume: StorageVolume, bytes: number, options?: ResizeVolumeOptions): Promise<void> => {
      const args = { volume, capacity: bytes, flags: flagBits(options, resizeBits) }
      return call(procedures.STORAGE_VOL_RESIZE, args, options)
    },
    volumeXml: async (volume: StorageVolume, options?: CallOptions): Promise<string> =>
      (await call(procedures.STORAGE_VOL_GET_XML_DESC, { volume, flags: 0 }, options)).xml,
    volumeInfo: async (volume: StorageVolume, options?: CallOptions) => {
      const info = await call(procedures.STORAGE_VOL_GET_INFO, { volume }, options)
      return { ...info, type: nameOf(storageVolumeTypes, info.type) }
    },
    volumePath: async (volume: StorageVolume, options?: CallOptions): Promise<string> =>
      (await call(procedures.STORAGE_VOL_GET_PATH, { volume }, options)).path,
    /** A writable stream into the volume; 'finish' comes when the daemon has it all. */
    uploadVolume: async (volume: StorageVolume, options: CallOptions & VolumeRange = {}): Promise<Duplex> => {
      const args = { volume, offset: options.offset ?? 0, length: options.length ?? 0, flags: 0 }
      return (await openStream(procedures.STORAGE_VOL_UPLOAD, args, 'write', options)).stream
    },
    /** A readable stream of the volume's bytes. */
    downloadVolume: async (volume: StorageVolume, options: CallOptions & VolumeRange = {}): Promise<Duplex> => {
      const args = { volume, offset: options.offset ?? 0, length: options.length ?? 0, flags: 0 }
      return (await openStream(procedures.STORAGE_VOL_DOWNLOAD, args, 'read', options)).stream
    },
  }
}
