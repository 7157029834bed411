import type { Finding, Level } from '../finding.ts'
import type { HostObservation } from '../observation.ts'

interface Tool {
  readonly versionArgv: readonly string[]
  readonly debianPackage: string
  readonly lack: { readonly level: Level; readonly words: string }
}

const needed = (words: string) => ({ level: 'fail', words }) as const
const useful = (words: string) => ({ level: 'warn', words }) as const

/** Programs that vmr runs. */
export const tools: Readonly<Record<string, Tool>> = {
  ip: { versionArgv: ['-V'], debianPackage: 'iproute2', lack: needed('no link can be made or read') },
  bridge: { versionArgv: ['-V'], debianPackage: 'iproute2', lack: needed('no bridge can be looked at') },
  tc: { versionArgv: ['-V'], debianPackage: 'iproute2', lack: needed('the lab’s links cannot be shaped') },
  ping: { versionArgv: ['-V'], debianPackage: 'iputils-ping', lack: needed('nothing can be probed') },
  tcpdump: { versionArgv: ['--version'], debianPackage: 'tcpdump', lack: needed('no frame can be followed') },
  iperf3: { versionArgv: ['-v'], debianPackage: 'iperf3', lack: needed('throughput cannot be measured') },
  iperf: { versionArgv: ['-v'], debianPackage: 'iperf', lack: useful('iperf2 cannot be chosen') },
  ethtool: { versionArgv: ['--version'], debianPackage: 'ethtool', lack: useful('offloads are not looked at') },
  nft: { versionArgv: ['--version'], debianPackage: 'nftables', lack: useful('packet filters are not looked at') },
  'qemu-img': { versionArgv: ['--version'], debianPackage: 'qemu-utils', lack: useful('VMs cannot have disks') },
  'virt-xml-validate': {
    versionArgv: ['--version'],
    debianPackage: 'libvirt-clients',
    lack: useful('the tests cannot check domain XML'),
  },
}

/** iperf3 up to 3.10.1 prints duplicate keys with --bidir --json (esnet/iperf#1196). */
const oldestIperf3 = [3, 11] as const

export function checkTools({ tools: found }: HostObservation): Finding[] {
  return Object.entries(tools).map(([name, { debianPackage, lack }]): Finding => {
    const version = found[name]
    if (version === undefined || version === null)
      return {
        area: 'tools',
        subject: name,
        level: lack.level,
        message: `is not there: ${lack.words}`,
        hint: `Debian: apt install ${debianPackage}`,
      }
    if (name === 'iperf3' && isOlder(version, oldestIperf3))
      return {
        area: 'tools',
        subject: name,
        level: 'warn',
        message: `${version} cannot measure both ways at once`,
        hint: `Install ${oldestIperf3.join('.')} or later.`,
      }
    return { area: 'tools', subject: name, level: 'pass', message: version }
  })
}

function isOlder(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split('.').map(Number)
  return ownMajor < major || (ownMajor === major && ownMinor < minor)
}
