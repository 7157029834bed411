import { styleText } from 'node:util'
import type { Output, OutputName } from './output/outputs.ts'

type TextStyle = Parameters<typeof styleText>[0]

/**
 * The one place that writes to the person's terminal. Results go to standard output, everything about the run
 * (progress, warnings, errors) to standard error, so that a pipe carries results alone.
 */
export interface Terminal {
  /** Whether colours may be used on standard output. */
  readonly colour: boolean
  /** Whether standard error is a person's terminal: progress is shown only there, never in pipes or CI. */
  readonly interactive: boolean
  readonly columns: number
  result(text: string): void
  /** `json<'vm list'>(vms)`: what that command's published schema says, for a command that has been given --json. */
  json<Name extends OutputName = never>(value: Output<Name>): void
  /** The same on one line, for output that goes on. */
  jsonLine<Name extends OutputName = never>(value: Output<Name>): void
  notice(text: string): void
  warn(text: string): void
  style(style: TextStyle, text: string): string
}

interface TerminalStreams {
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly env: NodeJS.ProcessEnv
}

/** https://no-color.org and the de facto FORCE_COLOR; a terminal otherwise. */
function colourAllowed(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): boolean {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0'
  return stream.isTTY === true && env.TERM !== 'dumb'
}

export function createTerminal({ stdout, stderr, env }: TerminalStreams): Terminal {
  const colour = colourAllowed(stdout, env)
  const errorColour = colourAllowed(stderr, env)
  const paint = (allowed: boolean, style: TextStyle, text: string) => (allowed ? styleText(style, text) : text)
  return {
    colour,
    interactive: stderr.isTTY === true && !env.CI && env.TERM !== 'dumb',
    columns: stdout.columns ?? 120,
    result: (text) => void stdout.write(`${text}\n`),
    json: (value) => void stdout.write(`${JSON.stringify(value, null, 2)}\n`),
    jsonLine: (value) => void stdout.write(`${JSON.stringify(value)}\n`),
    notice: (text) => void stderr.write(`${text}\n`),
    warn: (text) => void stderr.write(`${paint(errorColour, 'yellow', 'warning:')} ${text}\n`),
    style: (style, text) => paint(colour, style, text),
  }
}
