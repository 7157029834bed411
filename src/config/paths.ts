import { join, resolve } from 'node:path'
import envPaths from 'env-paths'

/**
 * Where vmr keeps what has to survive a crash: undo journals. Root's is a system directory, since what it records is
 * the host's state and no user's. `VMR_STATE_DIR` overrides.
 */
export function stateDirectory(): string {
  return resolve(process.env.VMR_STATE_DIR || (isRoot() ? '/var/lib/vmr' : xdg().log))
}

/**
 * Where vmr keeps what it can make again: images. Root's is a system directory, since QEMU reads it as another user,
 * who may not enter /root. `VMR_CACHE_DIR` overrides.
 */
export function cacheDirectory(): string {
  return resolve(process.env.VMR_CACHE_DIR || (isRoot() ? '/var/cache/vmr' : xdg().cache))
}

/** Where each VM has a folder of its own files. */
export function vmsDirectory(): string {
  return join(stateDirectory(), 'vms')
}

/** Where images are kept that were imported: `image: NAME` names a folder in it. */
export function imagesDirectory(): string {
  return join(stateDirectory(), 'images')
}

/** The disk of a stored image. It is only read: VMs write to overlays on it. */
export function storedDisk(name: string): string {
  return join(imagesDirectory(), name, 'disk.qcow2')
}

export function journalDirectory(): string {
  return join(stateDirectory(), 'undo')
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** env-paths calls XDG_STATE_HOME "log". */
function xdg() {
  return envPaths('vmr', { suffix: '' })
}
