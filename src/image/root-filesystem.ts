import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import { VmrError } from '../errors/vmr-error.ts'
import type { CpioEntry } from './cpio.ts'
import { parseElf } from './elf.ts'
import {
  describeModule,
  type KernelModule,
  moduleClosure,
  renderModulesAlias,
  renderModulesDep,
} from './kernel-modules.ts'

/** What is asked of apt by name; the libraries these need follow from their dependencies. */
export const requestedPackages = [
  'linux-image-cloud-amd64',
  'bash-static',
  'busybox-static',
  'coreutils',
  'dropbear-bin',
  'ethtool',
  'hitch',
  'iperf',
  'iperf3',
  'iproute2',
  'iputils-ping',
  'less',
  'libpam-modules',
  'ncurses-base',
  'openssh-sftp-server',
  'openssl',
  'perl-base',
  'sudo',
  'tcpdump',
  'util-linux',
] as const

/** Programs and data taken out of the packages, by their path in a merged /usr. A folder is taken with all in it. */
const packageFiles = [
  'usr/bin/bash-static',
  'usr/bin/busybox',
  'usr/bin/dropbearkey',
  'usr/bin/env',
  'usr/bin/ip',
  'usr/bin/iperf',
  'usr/bin/iperf3',
  'usr/bin/less',
  'usr/bin/nstat',
  'usr/bin/openssl',
  'usr/bin/perl',
  'usr/bin/ping',
  'usr/bin/setsid',
  'usr/bin/ss',
  'usr/bin/sudo',
  'usr/bin/tcpdump',
  'usr/bin/timeout',
  'usr/lib/openssh/sftp-server',
  'usr/lib/x86_64-linux-gnu/perl-base',
  'usr/lib/x86_64-linux-gnu/security/pam_permit.so',
  'usr/libexec/sudo/libsudo_util.so.0',
  'usr/libexec/sudo/sudoers.so',
  'usr/sbin/bridge',
  'usr/sbin/dropbear',
  'usr/sbin/ethtool',
  'usr/sbin/hitch',
  'usr/sbin/tc',
  ...['dumb', 'linux', 'screen', 'vt100', 'vt102', 'vt220', 'xterm', 'xterm-256color'].map(
    (terminal) => `usr/lib/terminfo/${terminal.charAt(0)}/${terminal}`,
  ),
]

/** Perl's Unicode tables: 3.7 MB that the guest's programs, which work on bytes, never load. */
const leftOut = ['usr/lib/x86_64-linux-gnu/perl-base/unicore']

const symlinks: Readonly<Record<string, string>> = {
  bin: 'usr/bin',
  lib: 'usr/lib',
  lib64: 'usr/lib64',
  sbin: 'usr/sbin',
  'etc/mtab': '/proc/mounts',
  'opt/vyatta/etc/config': '/config',
  'usr/bin/bash': 'bash-static',
  'usr/bin/sh': 'bash-static',
  'usr/bin/vbash': 'bash-static',
  'usr/sbin/ip': '../bin/ip',
  // Where Debian's dropbear looks for it.
  'usr/lib/sftp-server': 'openssh/sftp-server',
}

/**
 * busybox does what no package above does, except what starts other programs: it would start its own `ip` and `ping`
 * instead of those of the packages. Where iproute2 or iputils have a program of the same name, theirs stays. */
const busyboxApplets: Readonly<Record<'usr/bin' | 'usr/sbin', readonly string[]>> = {
  'usr/bin': (
    'awk base64 basename cat chgrp chmod chown clear cmp cp cut date dd df diff dirname dmesg du echo egrep expr ' +
    'false fgrep find free grep gunzip gzip head hexdump hostname id install kill killall ln login logger ls md5sum ' +
    'mkdir mkfifo mknod mkpasswd mktemp mount mv nc nproc od paste pidof printf ps pwd ' +
    'readlink realpath renice rm rmdir sed seq sha256sum sleep sort stat strings stty sync tail tar tee test time ' +
    'top touch tr true tty umount uname uniq uptime usleep vi wc which who whoami xargs xxd yes zcat'
  ).split(' '),
  'usr/sbin': 'acpid halt init insmod losetup lsmod modprobe rmmod sysctl'.split(' '),
}

/** Loaded at boot or when the configuration first needs them; what they depend on comes along. */
const wantedModules = [
  'virtio_pci',
  'virtio_net',
  'virtio_rng',
  'virtio_balloon',
  'virtio_blk',
  'isofs',
  'button',
  'evdev',
  '8021q',
  'bridge',
  'ip6_tunnel',
  'af_packet',
]

/** Where the guest keeps what it makes while it runs, with who may write there. */
const directories: readonly {
  readonly path: string
  readonly mode: number
  readonly gid?: number
  readonly uid?: number
}[] = [
  { path: 'config', mode: 0o2775, gid: 102 },
  { path: 'dev', mode: 0o755 },
  { path: 'etc/dropbear', mode: 0o700 },
  { path: 'etc/ssh', mode: 0o755 },
  { path: 'etc/ssl/certs', mode: 0o755 },
  { path: 'etc/ssl/private', mode: 0o700 },
  { path: 'home/vyos', mode: 0o755, uid: 1000, gid: 100 },
  { path: 'proc', mode: 0o755 },
  { path: 'root', mode: 0o700 },
  { path: 'run/lab-router', mode: 0o755 },
  { path: 'run/sudo', mode: 0o711 },
  { path: 'run/vyos-config/mac', mode: 0o755 },
  { path: 'run/vyos-config/reply', mode: 0o1770, gid: 102 },
  { path: 'sys', mode: 0o755 },
  { path: 'tmp', mode: 0o1777 },
  { path: 'var/log', mode: 0o755 },
  { path: 'var/run', mode: 0o755 },
  { path: 'var/tmp', mode: 0o1777 },
]

/** Files whose permissions are more than "readable by all": by path in the guest. */
const modes: Readonly<Record<string, number>> = {
  'etc/sudoers': 0o440,
  'usr/bin/sudo': 0o4755,
}
const groups: Readonly<Record<string, { readonly mode: number; readonly gid: number }>> = {
  'config/config.boot': { mode: 0o660, gid: 102 },
}

/** A kernel and all that goes into its initramfs. */
interface RootFilesystem {
  readonly kernel: Buffer
  readonly entries: readonly CpioEntry[]
}

/**
 * Puts the guest together from the unpacked packages below `packagesRoot` and vmr's own files: the programs that are
 * used, the libraries that they ask for, the modules that the router needs, and nothing else.
 *
 * @throws VmrError IMAGE_BUILD_FAILED if the packages lack something that is needed.
 */
export async function composeRootFilesystem(
  packagesRoot: string,
  guestFiles: readonly CpioEntry[],
): Promise<RootFilesystem> {
  const tree = new Map<string, CpioEntry>()
  const put = (entry: CpioEntry): void => {
    for (let parent = dirname(entry.path); parent !== '.'; parent = dirname(parent)) {
      if (!tree.has(parent)) tree.set(parent, { type: 'directory', path: parent, mode: 0o755 })
    }
    tree.set(entry.path, entry)
  }

  for (const path of packageFiles) {
    const entries = await readPackageFiles(packagesRoot, path)
    if (entries.length === 0) throw lacks(path)
    for (const entry of entries) put(entry)
  }
  for (const library of await libraryClosure(packagesRoot, [...tree.values()])) put(library)
  const { kernel, entries: moduleEntries } = await readKernel(packagesRoot)
  for (const entry of moduleEntries) put(entry)
  for (const directory of directories) {
    put({
      type: 'directory',
      path: directory.path,
      mode: directory.mode,
      owner: { uid: directory.uid ?? 0, gid: directory.gid ?? 0 },
    })
  }
  for (const [path, target] of Object.entries(symlinks)) put({ type: 'symlink', path, mode: 0o777, target })
  for (const [directory, names] of Object.entries(busyboxApplets)) {
    for (const name of names) {
      const path = `${directory}/${name}`
      if (!tree.has(path))
        put({ type: 'symlink', path, mode: 0o777, target: directory === 'usr/bin' ? 'busybox' : '../bin/busybox' })
    }
  }
  for (const entry of guestFiles) if (entry.type !== 'directory' || !tree.has(entry.path)) put(entry)
  // The kernel opens it for the first program before that can mount /dev.
  put({ type: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 })
  put({ type: 'character-device', path: 'dev/null', mode: 0o666, major: 1, minor: 3 })
  return { kernel, entries: [...tree.values()].map(withPermissions) }
}

function withPermissions(entry: CpioEntry): CpioEntry {
  const group = groups[entry.path]
  if (group !== undefined) return { ...entry, mode: group.mode, owner: { uid: 0, gid: group.gid } }
  const mode = modes[entry.path]
  return mode === undefined ? entry : { ...entry, mode }
}

const lacks = (what: string): VmrError =>
  new VmrError('IMAGE_BUILD_FAILED', `the Debian packages have no ${what}`, {
    hint: 'the lab router is built from Debian 12 packages: check the suite in /etc/apt/sources.list',
  })

/** Debian 12's packages still name /bin, /sbin and /lib; the guest has them in /usr, as an installed system does. */
const placesOf = (path: string): readonly string[] => (path.startsWith('usr/') ? [path, path.slice(4)] : [path])

/**
 * Follows symbolic links inside the unpacked packages only: a link to /bin/ip means the package's file, never this
 * machine's. Returns the path below the root, or undefined if nothing is there.
 */
async function resolveInside(root: string, path: string, depth = 0): Promise<string | undefined> {
  if (depth > 8) return undefined
  for (const place of placesOf(path)) {
    const status = await lstat(join(root, place)).catch(() => undefined)
    if (status === undefined) continue
    if (!status.isSymbolicLink()) return place
    const target = await readlink(join(root, place))
    const next = target.startsWith('/') ? target.slice(1) : normalize(join(dirname(place), target))
    if (next.startsWith('..')) return undefined
    return await resolveInside(root, next, depth + 1)
  }
  return undefined
}

async function readPackageFiles(root: string, path: string): Promise<readonly CpioEntry[]> {
  const place = await resolveInside(root, path)
  if (place === undefined || leftOut.includes(path)) return []
  const status = await lstat(join(root, place))
  if (!status.isDirectory()) {
    const mode = (status.mode & 0o100) === 0 ? 0o644 : 0o755
    return [{ type: 'file', path, mode, content: await readFile(join(root, place)) }]
  }
  const names = (await readdir(join(root, place))).sort()
  return (await Promise.all(names.map((name) => readPackageFiles(root, `${path}/${name}`)))).flat()
}

const libraryDirectory = 'usr/lib/x86_64-linux-gnu'

/** The shared libraries that the given files ask for, and those that these ask for, each under the name asked for. */
async function libraryClosure(root: string, entries: readonly CpioEntry[]): Promise<readonly CpioEntry[]> {
  const libraries = new Map<string, CpioEntry>()
  const present = new Set(entries.map((entry) => basename(entry.path)))
  const queue = [...entries]
  for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
    const elf = entry.type === 'file' ? parseElf(Buffer.from(entry.content)) : undefined
    if (elf === undefined) continue
    const wanted = elf.needed.map((name) => `${libraryDirectory}/${name}`)
    if (elf.interpreter !== undefined) wanted.push(`usr${elf.interpreter}`)
    for (const path of wanted) {
      if (libraries.has(path) || present.has(basename(path))) continue
      const [library] = await readPackageFiles(root, path)
      if (library === undefined) throw lacks(`library ${basename(path)}, which ${entry.path} needs,`)
      libraries.set(path, { ...library, mode: 0o755 })
      queue.push(library)
    }
  }
  return [...libraries.values()]
}

async function readKernel(root: string): Promise<RootFilesystem> {
  const names = await readdir(join(root, 'boot')).catch(() => [])
  const image = names.find((name) => name.startsWith('vmlinuz-'))
  if (image === undefined) throw lacks('kernel')
  const release = image.slice('vmlinuz-'.length)
  const directory = (await resolveInside(root, `usr/lib/modules/${release}`)) ?? ''
  const found = new Map<string, { readonly path: string; readonly bytes: Buffer; readonly module: KernelModule }>()
  for (const path of await listModules(join(root, directory))) {
    const name = basename(path).replace(/\.ko$/, '').replaceAll('-', '_')
    if (found.has(name)) continue
    const bytes = await readFile(join(root, directory, path))
    found.set(name, { path, bytes, module: describeModule(path, bytes) })
  }
  const modules = moduleClosure(wantedModules, (name) => found.get(name)?.module)
  const at = (path: string) => `usr/lib/modules/${release}/${path}`
  const file = (path: string, text: string): CpioEntry => ({
    type: 'file',
    path: at(path),
    mode: 0o644,
    content: Buffer.from(text),
  })
  return {
    kernel: await readFile(join(root, 'boot', image)),
    entries: [
      ...modules.map(
        (module): CpioEntry => ({
          type: 'file',
          path: at(module.path),
          mode: 0o644,
          content: found.get(module.name)?.bytes ?? Buffer.alloc(0),
        }),
      ),
      file('modules.dep', renderModulesDep(modules)),
      file('modules.alias', renderModulesAlias(modules)),
    ],
  }
}

/** Only the folders that hold what a router in a virtual machine can need: the rest is thousands of drivers. */
const moduleDirectories = [
  'kernel/drivers/acpi',
  'kernel/drivers/block',
  'kernel/drivers/cdrom',
  'kernel/drivers/char/hw_random',
  'kernel/drivers/input',
  'kernel/drivers/net',
  'kernel/drivers/virtio',
  'kernel/fs/isofs',
  'kernel/net',
]

async function listModules(root: string): Promise<readonly string[]> {
  const lists = await Promise.all(
    moduleDirectories.map(async (directory) => {
      const names = await readdir(join(root, directory), { recursive: true }).catch(() => [])
      return names.filter((name) => name.endsWith('.ko')).map((name) => `${directory}/${name}`)
    }),
  )
  return lists.flat().sort()
}
