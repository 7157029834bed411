import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Conditions } from './schema.ts'

const thermalDirectory = '/sys/class/thermal'
const cpuDirectory = '/sys/devices/system/cpu'

/** How busy, fast and warm this host is right now, as far as it tells. */
export async function readConditions(): Promise<Conditions> {
  const [load, zones, cpus] = await Promise.all([
    readNumber('/proc/loadavg'),
    entries(thermalDirectory, /^thermal_zone\d+$/),
    entries(cpuDirectory, /^cpu\d+$/),
  ])
  const millidegrees = await numbers(zones.map((zone) => join(thermalDirectory, zone, 'temp')))
  const kilohertz = await numbers(cpus.map((cpu) => join(cpuDirectory, cpu, 'cpufreq', 'scaling_cur_freq')))
  return {
    ...(load === undefined ? {} : { loadAverage: load }),
    ...(kilohertz.length === 0 ? {} : { coreMhz: kilohertz.map((each) => Math.round(each / 1000)) }),
    ...(millidegrees.length === 0 ? {} : { celsius: Math.max(...millidegrees) / 1000 }),
  }
}

async function numbers(paths: readonly string[]): Promise<number[]> {
  return (await Promise.all(paths.map(readNumber))).filter((each) => each !== undefined)
}

/** The first number of a file; undefined where there is none. */
async function readNumber(path: string): Promise<number | undefined> {
  try {
    const value = Number.parseFloat(await readFile(path, 'utf8'))
    return Number.isFinite(value) && value >= 0 ? value : undefined
  } catch {
    return undefined
  }
}

async function entries(directory: string, pattern: RegExp): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).filter((name) => pattern.test(name)).sort()
  } catch {
    return []
  }
}
