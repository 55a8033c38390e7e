/* The registry of state; see component.h. */
#include "machine/component.h"

#include <stdio.h>

#include "util/assert.h"

void components_add(struct components *components, const char *name, unsigned number,
                    void *state, uint32_t size, void (*restored)(void *device), void *device)
{
    ASSERT(components->count < COMPONENTS_MAXIMUM);
    struct component *component = &components->list[components->count++];
    *component = (struct component){
        .state = state, .size = size, .restored = restored, .device = device,
    };
    if (number == COMPONENT_SINGLE)
        snprintf(component->name, sizeof component->name, "%s", name);
    else
        snprintf(component->name, sizeof component->name, "%s%u", name, number);
}
