import { isVmrError } from '../errors/vmr-error.ts'
import { throwIfAborted } from '../shell/abort.ts'
import type { Shell } from '../shell/shell.ts'
import type { HostFacts } from './schema.ts'

const versionCommands: Readonly<Record<string, readonly string[]>> = {
  iperf3: ['iperf3', '-v'],
  iperf: ['iperf', '-v'],
  ping: ['ping', '-V'],
  tcpdump: ['tcpdump', '--version'],
  iproute2: ['ip', '-V'],
}

/**
 * What of a machine decides over its figures: kernel, processor, governor, TCP settings, versions of the tools. What a
 * machine does not tell is left out.
 */
export async function gatherHostFacts(
  shell: Shell,
  options: { readonly signal?: AbortSignal } = {},
): Promise<HostFacts> {
  const said = async (argv: readonly string[]) => {
    try {
      const { stdout, stderr } = await shell.run(argv, options)
      return `${stdout}\n${stderr}`
    } catch (error) {
      // A tool that is not there is left out; only the caller's own end ends this.
      throwIfAborted(options.signal, `reading the facts of ${shell.description}`)
      if (isVmrError(error)) return ''
      throw error
    }
  }
  // One command for all the files: on a slow guest each command costs as much as a measurement.
  const files = await said([
    ...['grep', '-s', '^', '/proc/sys/kernel/hostname', '/proc/sys/kernel/osrelease', '/proc/sys/kernel/arch'],
    ...['/etc/os-release', '/proc/meminfo', '/proc/cpuinfo', '/proc/sys/net/ipv4/tcp_timestamps'],
    ...['/proc/sys/net/ipv4/tcp_congestion_control', '/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'],
  ])
  const versions = await Promise.all(
    Object.entries(versionCommands).map(async ([name, argv]) => [name, versionIn(await said(argv))] as const),
  )
  return parseHostFacts(
    files,
    Object.fromEntries(versions.flatMap(([name, version]) => (version === undefined ? [] : [[name, version]]))),
  )
}

/** Reads `grep -s '^' files…`: each line after its file's name and a colon. */
export function parseHostFacts(text: string, versions: Readonly<Record<string, string>>): HostFacts {
  const linesOf = (path: string) =>
    text.split('\n').flatMap((line) => (line.startsWith(`${path}:`) ? [line.slice(path.length + 1)] : []))
  const first = (path: string) => linesOf(path)[0]?.trim().slice(0, 200)
  const cpuinfo = linesOf('/proc/cpuinfo')
  const cpuModel = /^model name\s*:\s*(.*)$/m.exec(cpuinfo.join('\n'))?.[1]?.trim().slice(0, 200)
  const memoryKiB = /^MemTotal:\s*(\d+) kB$/m.exec(linesOf('/proc/meminfo').join('\n'))?.[1]
  const distribution = /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(linesOf('/etc/os-release').join('\n'))?.[1]
  const governor = first('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor')
  const congestionControl = first('/proc/sys/net/ipv4/tcp_congestion_control')
  return {
    hostName: first('/proc/sys/kernel/hostname') ?? 'unknown',
    kernel: first('/proc/sys/kernel/osrelease') ?? 'unknown',
    architecture: first('/proc/sys/kernel/arch') ?? 'unknown',
    distribution: distribution?.slice(0, 200) ?? 'unknown',
    ...(cpuModel === undefined ? {} : { cpuModel }),
    cpus: Math.max(1, cpuinfo.filter((line) => /^processor\s*:/.test(line)).length),
    memoryBytes: Math.max(1, Number(memoryKiB ?? 0) * 1024),
    ...(governor === undefined ? {} : { governor }),
    // Where the kernel does not say: on, as RFC 7323 implementations have it.
    tcpTimestamps: first('/proc/sys/net/ipv4/tcp_timestamps') !== '0',
    ...(congestionControl === undefined ? {} : { tcpCongestionControl: congestionControl }),
    versions,
  }
}

function versionIn(text: string): string | undefined {
  return /\b(?:version |iperf |iputils |iproute2-)?v?(\d+(?:\.\d+)+|20\d{6})\b/.exec(text)?.[1]
}
