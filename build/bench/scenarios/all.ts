// The benchmarks, in the order in which they are run and shown.
import type { Scenario } from '../scenario.ts';
import { bytecode } from './bytecode.ts';
import { concurrent } from './concurrent.ts';
import { echoRecords, echoText } from './echo.ts';
import { init, initBoto3 } from './init.ts';
import { jit } from './jit.ts';
import { memory } from './memory.ts';
import { parallel } from './parallel.ts';
import { roundTrip } from './round-trip.ts';
import { streaming } from './streaming.ts';

export const scenarios: readonly Scenario[] = [
  init,
  initBoto3,
  bytecode,
  roundTrip,
  echoRecords,
  echoText,
  memory,
  concurrent,
  parallel,
  jit,
  streaming,
];
