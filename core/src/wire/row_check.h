/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_ROW_CHECK_H
#define BV_WIRE_ROW_CHECK_H

#include "wire/row.h"

/* What may stand in the texts and numbers of an event (wire.md 5.2 step 4, V48, V68). */

enum row_text {
    ROW_TEXT_CLEAN,
    ROW_TEXT_CONTROL,   /* U+0000-U+001F or U+007F-U+009F */
    ROW_TEXT_MALFORMED, /* not UTF-8 */
};

/* `is_name`: TAB, LF and CR are refused too. */
enum row_text row_text_check(struct slice text, bool is_name);

/* Every string and number inside `value`, however deep (at most JSON_DEPTH_MAX): BV_OK,
 * BV_INVALID_EVENT for NaN and infinities, BV_CONTROL_CHARACTER. NaN wins over control characters,
 * because it belongs to the earlier step. Keys of nested objects are names. */
enum bv_status row_value_check(const struct value *value, unsigned flags);

#endif
