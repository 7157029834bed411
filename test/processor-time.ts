/**
 * Milliseconds of processor that this process has used. What takes time is measured by it: other work on a machine takes
 * as much of the clock as it likes, and none of this.
 */
export function processorTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
