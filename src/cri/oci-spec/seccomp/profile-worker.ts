// SPDX-License-Identifier: Apache-2.0
import { answerTasks } from "../../../base/parsing/answer-tasks.ts";
import { runProfileTask } from "./profile-task.ts";

// The thread that reads seccomp profiles which would hold up the main one.

answerTasks(runProfileTask);
