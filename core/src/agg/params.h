/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_PARAMS_H
#define BV_AGG_PARAMS_H

#include "wire/number.h"
#include "wire/value.h"

/* Reading a feature's parameters, which registration has checked; what comes from a log is checked
 * again by those who need it. */

/* NULL when absent; params may be NULL. */
static inline const struct value *
params_find(const struct value *params, const char *name)
{
    return params == NULL ? NULL : value_find(params, name);
}

/* Whether the states of this feature stand in panes, and so will be merged. */
static inline bool
params_have_window(const struct value *params)
{
    const struct value *window = params_find(params, "window");
    uint64_t ms;
    bool is_forever = false;

    return window != NULL && window->kind == VALUE_STR &&
           number_parse_duration(&ms, &is_forever, value_slice(window)) && !is_forever;
}

#endif
