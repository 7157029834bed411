import type { Finding } from '../finding.ts'
import type { HostObservation } from '../observation.ts'

export function checkTuning({ governors }: HostObservation): Finding[] {
  const subject = 'frequency governor'
  if (governors.length === 0)
    return [{ area: 'tuning', subject, level: 'skip', message: 'the kernel does not tell it (as in a VM)' }]
  const slow = [...new Set(governors)].filter((name) => name !== 'performance')
  if (slow.length === 0) return [{ area: 'tuning', subject, level: 'pass', message: 'performance' }]
  return [
    {
      area: 'tuning',
      subject,
      level: 'warn',
      message: `${slow.join(', ')}: the clock changes while it is measured, by a factor of two on small boxes`,
      hint: 'For measurements: cpupower frequency-set -g performance',
    },
  ]
}
