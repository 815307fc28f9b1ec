/** The shape of a rule about rendered objects. */
import type { ContainerView, PodView, Rendering } from './view.ts';

export interface Rule {
  id: string;
  /** What holds when the rule finds nothing. */
  guarantee: string;
  /** One line per violation; empty when the guarantee holds. */
  check: (rendering: Rendering) => string[];
}

/** A rule about each pod template. `violation` answers what is wrong with one, or nothing. */
export function podRule(id: string, guarantee: string, violation: (pod: PodView) => string | undefined): Rule {
  return {
    id,
    guarantee,
    check: ({ pods }) =>
      pods.flatMap((pod) => {
        const found = violation(pod);
        return found === undefined ? [] : [`${pod.title}: ${found}`];
      }),
  };
}

/** A rule about each container of each pod template; `fine` says whether the guarantee holds for one. */
export function containerRule(
  id: string,
  guarantee: string,
  fine: (container: ContainerView, pod: PodView) => boolean,
): Rule {
  return podRule(id, guarantee, (pod) => {
    if (pod.containers.length === 0) return 'has no container';
    const bad = pod.containers.filter((container) => !fine(container, pod));
    return bad.length === 0
      ? undefined
      : `container ${bad.map(({ name }) => name).join(', ')}: ${guarantee} does not hold`;
  });
}
