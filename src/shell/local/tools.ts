import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { VmrError } from '../../errors/vmr-error.ts'

/** Debian's name of the package that has a tool vmr calls. */
const packageOfTool: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  bridge: 'iproute2',
  tc: 'iproute2',
  ethtool: 'ethtool',
  sysctl: 'procps',
  iperf: 'iperf',
  iperf3: 'iperf3',
  ping: 'iputils-ping',
  tcpdump: 'tcpdump',
  'dpkg-deb': 'dpkg',
  'apt-get': 'apt',
  'apt-cache': 'apt',
  'qemu-img': 'qemu-utils',
  'qemu-system-x86_64': 'qemu-system-x86',
  'ovs-vsctl': 'openvswitch-switch',
  nft: 'nftables',
  minisign: 'minisign',
  gpg: 'gnupg',
}

/** Debian leaves these out of a user's PATH; `ip`, `tc` and `sysctl` live there. */
const systemDirectories = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/** PATH for every command: the caller's, then the system directories it lacks. */
export function searchPath(): string {
  const own = (process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin').split(':').filter((part) => part !== '')
  return [...own, ...systemDirectories.filter((directory) => !own.includes(directory))].join(':')
}

/**
 * Absolute path of a command's program, as execvp(3) would find it.
 *
 * @throws VmrError HOST_TOOL_MISSING, naming the Debian package where it is known; HOST_PERMISSION when only files
 * that may not be executed have the name.
 */
export async function findTool(name: string): Promise<string> {
  const candidates = name.includes('/')
    ? [name]
    : searchPath()
        .split(':')
        .map((directory) => join(directory, name))
  let forbidden: string | undefined
  for (const candidate of candidates) {
    if (!(await isFile(candidate))) continue
    try {
      await access(candidate, constants.X_OK)
      return candidate
    } catch {
      forbidden ??= candidate
    }
  }
  if (forbidden !== undefined) throw new VmrError('HOST_PERMISSION', `${forbidden} may not be executed by this user`)
  const debianPackage = packageOfTool[name]
  throw new VmrError('HOST_TOOL_MISSING', `the program ${name} is not on this host`, {
    hint: debianPackage === undefined ? `Install ${name}.` : `Install it: apt-get install ${debianPackage}`,
  })
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
