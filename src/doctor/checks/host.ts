import type { Finding } from '../finding.ts'
import type { HostObservation } from '../observation.ts'

const usefulMemoryBytes = 1.5 * 2 ** 30

export function checkHost({ uid, kernel, distribution, cpuFlags, cpus, memoryBytes }: HostObservation): Finding[] {
  const virtual = cpuFlags.includes('vmx') || cpuFlags.includes('svm')
  const gibibytes = (memoryBytes / 2 ** 30).toFixed(1)
  return [
    {
      area: 'host',
      subject: 'system',
      level: 'pass',
      message: `${distribution ?? 'unknown distribution'}, kernel ${kernel}, ${cpus} CPUs, ${gibibytes} GiB`,
    },
    uid === 0
      ? { area: 'host', subject: 'rights', level: 'pass', message: 'root' }
      : {
          area: 'host',
          subject: 'rights',
          level: 'warn',
          message: 'not root: namespaces, links and captures cannot be made',
          hint: 'Run vmr with sudo; a part of this report could not be looked at.',
        },
    virtual
      ? { area: 'host', subject: 'processor', level: 'pass', message: 'can virtualise' }
      : {
          area: 'host',
          subject: 'processor',
          level: 'warn',
          message: 'says that it cannot virtualise (neither vmx nor svm)',
          hint: 'Switch VT-x or AMD-V on in the firmware; in a VM, allow nesting. Else guests are emulated, and slow.',
        },
    ...(memoryBytes < usefulMemoryBytes
      ? [
          {
            area: 'host' as const,
            subject: 'memory',
            level: 'warn' as const,
            message: `${gibibytes} GiB is little for a host and its router VM`,
            hint: 'Give VMs less memory in their definition, or the host more.',
          },
        ]
      : []),
  ]
}
