import { VmrError } from '../../errors/vmr-error.ts'
import type { Machine } from '../../testbed/machine.ts'
import { measureWithIperf2 } from './iperf2.ts'
import { measureWithIperf3, startIperf3Server } from './iperf3.ts'
import type { ThroughputRequest, ThroughputSample, ThroughputServer, ThroughputTool } from './throughput.ts'

/**
 * A server for several measurements that follow each other; undefined for iperf 2, whose server tells its figure only
 * when it ends. The caller stops it.
 */
export async function startThroughputServer(
  tool: ThroughputTool,
  request: ThroughputRequest,
): Promise<ThroughputServer | undefined> {
  return tool === 'iperf3' ? startIperf3Server(request) : undefined
}

/** Measures one run with the tool named. Errors as in the tool's own module. */
export function measureThroughput(
  tool: ThroughputTool,
  request: ThroughputRequest,
  server?: ThroughputServer,
): Promise<ThroughputSample> {
  return tool === 'iperf3' ? measureWithIperf3(request, server) : measureWithIperf2(request)
}

/**
 * The tool's version on a machine, as "3.12".
 *
 * @throws VmrError HOST_TOOL_MISSING when it is not there, or when a program of that name is another tool.
 */
export async function readToolVersion(machine: Machine, tool: ThroughputTool, signal?: AbortSignal): Promise<string> {
  const program = tool === 'iperf3' ? 'iperf3' : 'iperf'
  const result = await machine.shell.run([program, '-v'], signal === undefined ? {} : { signal })
  // iperf 2 prints it on standard error, with exit status 0 or 1 by version.
  const text = `${result.stdout}\n${result.stderr}`
  const version = /^iperf (?:version )?(\d+\.\d+(?:\.\d+)?)/m.exec(text)?.[1]
  const major = tool === 'iperf3' ? '3.' : '2.'
  if (version?.startsWith(major)) return version
  const found = version === undefined ? text.trim().split('\n')[0]?.slice(0, 200) || 'no version' : `version ${version}`
  throw new VmrError('HOST_TOOL_MISSING', `${program} on ${machine.name} is not ${tool}: ${found}`, {
    hint: `Install ${tool} there, or measure with the other one.`,
  })
}
