// SPDX-License-Identifier: Apache-2.0
import { answerTasks } from "../../base/parsing/answer-tasks.ts";
import { type DocumentTask, parseDocument } from "./parse-document.ts";

// The thread that reads documents too large for the main one.

answerTasks((task: DocumentTask) => parseDocument(task));
